// A delegate that answers at once: what is left of a request is Plexus.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *variable(const char *name)
{
	const char *value = getenv(name);
	return value ? value : "";
}

int main(void)
{
	char input[4096];
	while (read(0, input, sizeof input) > 0)
		;
	if (strcmp(variable("CNI_COMMAND"), "ADD") == 0)
		printf("{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"%s\",\"mac\":\"02:00:00:00:00:01\","
		       "\"sandbox\":\"%s\"}],\"ips\":[{\"address\":\"10.210.0.2/16\",\"interface\":0}]}\n",
		       variable("CNI_IFNAME"), variable("CNI_NETNS"));
}
