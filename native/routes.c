#include "routes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "netlink.h"
#include "netns.h"

/* IPv6 routes without a metric get this one from the kernel. */
enum { IPV6_METRIC = 1024, MAX_GATEWAYS = 64 };

/* A way out of the namespace: what two default routes are compared by. */
typedef struct {
  int32_t index;
  uint32_t metric;
  bool has_gateway;
  uint8_t gateway[16];
} Hop;

/* Routes of the main table, each the body of the kernel's message: u32 size, then so many bytes. */
typedef struct {
  Buffer bodies;
} Routes;

/* What one family of the frame asks for. */
typedef struct {
  uint8_t family;
  size_t address_size;
  Slice losers, keep_cidrs;
  int32_t owner, keep;
  Hop wanted[MAX_GATEWAYS];
  size_t wanted_count;
  Routes before;
  bool is_touched;
} Change;

static bool next_route(Slice *routes, Slice *route) { return next_field(routes, route); }

static RouteHeader header_of(Slice route) {
  RouteHeader header;
  memcpy(&header, route.at, sizeof header);
  return header;
}

static Slice attributes_of(Slice route) { return (Slice){route.at + sizeof(RouteHeader), route.size - sizeof(RouteHeader)}; }

static bool find_attribute(Slice attributes, uint16_t wanted, Slice *value) {
  for (uint16_t type; next_attribute(&attributes, &type, value);)
    if (type == wanted) return true;
  return false;
}

static uint32_t number_of(Slice attributes, uint16_t type) {
  Slice value;
  uint32_t number = 0;
  if (find_attribute(attributes, type, &value) && value.size == sizeof number) memcpy(&number, value.at, sizeof number);
  return number;
}

static void take_route(void *context, uint16_t type, Slice body) {
  Routes *routes = context;
  if (type != MESSAGE_NEW_ROUTE || body.size < sizeof(RouteHeader)) return;
  RouteHeader header = header_of(body);
  uint32_t table = number_of(attributes_of(body), ROUTE_TABLE);
  if ((table == 0 ? header.table : table) == TABLE_MAIN) add_field(&routes->bodies, body);
}

static char *dump(int socket, uint8_t family, Routes *routes) {
  RouteHeader request = {.family = family, .table = TABLE_MAIN};
  routes->bodies.size = 0;
  return ask_kernel(socket, MESSAGE_GET_ROUTE, FLAG_DUMP, (Slice){(uint8_t *)&request, sizeof request}, take_route, routes);
}

static void read_gateway(Slice attributes, Hop *hop) {
  Slice value;
  hop->has_gateway = find_attribute(attributes, ROUTE_GATEWAY, &value) && value.size <= sizeof hop->gateway;
  if (hop->has_gateway) memcpy(hop->gateway, value.at, value.size);
}

/* The hops of a route, one after another; `state` begins as 0. */
static bool next_hop(Slice route, size_t *state, Hop *hop) {
  Slice attributes = attributes_of(route), multipath;
  *hop = (Hop){.metric = number_of(attributes, ROUTE_PRIORITY)};
  if (!find_attribute(attributes, ROUTE_MULTIPATH, &multipath)) {
    hop->index = (int32_t)number_of(attributes, ROUTE_INTERFACE);
    read_gateway(attributes, hop);
    return (*state)++ == 0 && hop->index != 0;
  }
  HopHeader header;
  if (*state + sizeof header > multipath.size) return false;
  memcpy(&header, multipath.at + *state, sizeof header);
  if (header.length < sizeof header || header.length > multipath.size - *state) return false;
  hop->index = header.index;
  read_gateway((Slice){multipath.at + *state + sizeof header, header.length - sizeof header}, hop);
  *state += (header.length + 3u) & ~3u;
  return true;
}

static bool is_default(Slice route) {
  RouteHeader header = header_of(route);
  return header.destination_bits == 0 && header.type == TYPE_UNICAST;
}

static bool is_same_hop(const Hop *left, const Hop *right) {
  return left->index == right->index && left->metric == right->metric && left->has_gateway == right->has_gateway &&
         memcmp(left->gateway, right->gateway, sizeof left->gateway) == 0;
}

static bool has_hop(const Routes *routes, const Hop *wanted) {
  Slice all = buffer_whole(&routes->bodies), route;
  while (next_route(&all, &route)) {
    Hop hop;
    for (size_t state = 0; is_default(route) && next_hop(route, &state, &hop);)
      if (is_same_hop(&hop, wanted)) return true;
  }
  return false;
}

static int32_t index_of(const char *name, Slice links);

static bool is_loser(const Change *change, int32_t index, Slice links) {
  Slice losers = change->losers, name;
  while (next_item(&losers, &name)) {
    char text[IF_NAMESIZE + 1];
    if (name.size >= sizeof text) continue;
    memcpy(text, name.at, name.size);
    text[name.size] = 0;
    if (index_of(text, links) == index) return true;
  }
  return false;
}

static bool is_unwanted(const Change *change, const Hop *hop, Slice links) {
  if (is_loser(change, hop->index, links)) return true;
  if (hop->index != change->owner || change->wanted_count == 0) return false;
  for (size_t i = 0; i < change->wanted_count; i++)
    if (is_same_hop(&change->wanted[i], hop)) return false;
  return true;
}

/* A body that can be sent again: without what the kernel only tells, and only with the hops that stay. */
static size_t copy_route(Buffer *out, Slice route, const Change *change, Slice links) {
  RouteHeader header = header_of(route);
  // Of the flags only what one may ask for; DEAD and LINKDOWN are the kernel's observations.
  header.flags &= HOP_ON_LINK;
  out->size = 0;
  buffer_add(out, &header, sizeof header);
  Slice attributes = attributes_of(route), value;
  size_t hops = 0;
  for (uint16_t type; next_attribute(&attributes, &type, &value);) {
    if (type == ROUTE_CACHE_INFO) continue;
    if (type != ROUTE_MULTIPATH) {
      add_attribute(out, type, value.at, value.size);
      continue;
    }
    Buffer kept = {0};
    for (size_t at = 0; at + sizeof(HopHeader) <= value.size;) {
      HopHeader hop;
      memcpy(&hop, value.at + at, sizeof hop);
      if (hop.length < sizeof hop || hop.length > value.size - at) break;
      size_t begin = at;
      size_t taken = (hop.length + 3u) & ~3u;
      if (taken > value.size - begin) taken = value.size - begin;
      at += taken;
      Hop read = {.index = hop.index, .metric = number_of(attributes_of(route), ROUTE_PRIORITY)};
      read_gateway((Slice){value.at + begin + sizeof hop, hop.length - sizeof hop}, &read);
      if (change != NULL && is_unwanted(change, &read, links)) continue;
      hop.flags &= HOP_ON_LINK;
      buffer_add(&kept, &hop, sizeof hop);
      buffer_add(&kept, value.at + begin + sizeof hop, taken - sizeof hop);
      hops++;
    }
    if (hops > 0) add_attribute(out, ROUTE_MULTIPATH, kept.at, kept.size);
    buffer_free(&kept);
  }
  return hops;
}

static char *send_route(int socket, uint16_t type, uint16_t flags, const Buffer *body) {
  return ask_kernel(socket, type, flags, buffer_whole(body), NULL, NULL);
}

/* 169.254.1.1 and its like lie in no subnet of the interface. */
static bool is_link_local(uint8_t family, const uint8_t *gateway) {
  return family == AF_INET && gateway[0] == 169 && gateway[1] == 254;
}

static char *put_route(int socket, const Change *change, const uint8_t *destination, uint8_t bits, const Hop *hop) {
  RouteHeader header = {
      .family = change->family,
      .destination_bits = bits,
      .table = TABLE_MAIN,
      .protocol = PROTOCOL_BOOT,
      .scope = SCOPE_UNIVERSE,
      .type = TYPE_UNICAST,
      .flags = is_link_local(change->family, hop->gateway) ? HOP_ON_LINK : 0,
  };
  Buffer body = {0};
  buffer_add(&body, &header, sizeof header);
  if (bits > 0) add_attribute(&body, ROUTE_DESTINATION, destination, change->address_size);
  add_attribute(&body, ROUTE_GATEWAY, hop->gateway, change->address_size);
  add_attribute(&body, ROUTE_INTERFACE, &hop->index, sizeof hop->index);
  if (hop->metric != 0) add_attribute(&body, ROUTE_PRIORITY, &hop->metric, sizeof hop->metric);
  char *fault = send_route(socket, MESSAGE_NEW_ROUTE, FLAG_CREATE | FLAG_REPLACE, &body);
  buffer_free(&body);
  if (fault == NULL) return NULL;
  char gateway[INET6_ADDRSTRLEN] = "";
  inet_ntop(change->family, hop->gateway, gateway, sizeof gateway);
  char *whole = join("route through gateway ", gateway, ": ", fault, NULL);
  free(fault);
  return whole;
}

static bool parse_cidr(Slice text, const Change *change, uint8_t *address, uint8_t *bits) {
  char copy[INET6_ADDRSTRLEN + 5];
  if (text.size >= sizeof copy) return false;
  memcpy(copy, text.at, text.size);
  copy[text.size] = 0;
  char *slash = strchr(copy, '/');
  if (slash == NULL || slash[1] < '0' || slash[1] > '9') return false;
  *slash = 0;
  char *end;
  unsigned long number = strtoul(slash + 1, &end, 10);
  if (*end != 0 || number > change->address_size * 8 || inet_pton(change->family, copy, address) != 1) return false;
  *bits = (uint8_t)number;
  for (size_t bit = number; bit < change->address_size * 8; bit++) address[bit / 8] &= (uint8_t)~(0x80u >> bit % 8);
  return true;
}

/* The prefixes of the cluster stay on the interface that loses its default route. */
static char *keep_cluster(int socket, Change *change, Slice links) {
  Slice all = buffer_whole(&change->before.bodies), route, cidrs = change->keep_cidrs, cidr;
  Hop hop, old = {0};
  while (!old.has_gateway && next_route(&all, &route))
    for (size_t state = 0; !old.has_gateway && is_default(route) && next_hop(route, &state, &hop);)
      if (hop.has_gateway && hop.index == change->keep) old = hop;
  if (!old.has_gateway || !is_loser(change, old.index, links)) return NULL;
  old.metric = 0;
  while (next_item(&cidrs, &cidr)) {
    uint8_t address[16] = {0}, bits;
    if (!parse_cidr(cidr, change, address, &bits)) return join("a cluster prefix is wrong", NULL);
    char *fault = put_route(socket, change, address, bits, &old);
    if (fault != NULL) return fault;
  }
  return NULL;
}

static char *remove_unwanted(int socket, const Change *change, Slice links) {
  Routes now = {0};
  Buffer body = {0};
  char *fault = dump(socket, change->family, &now);
  Slice all = buffer_whole(&now.bodies), route;
  while (fault == NULL && next_route(&all, &route)) {
    Hop hop;
    bool goes = false;
    for (size_t state = 0; is_default(route) && next_hop(route, &state, &hop);) goes |= is_unwanted(change, &hop, links);
    if (!goes) continue;
    copy_route(&body, route, NULL, links);
    fault = send_route(socket, MESSAGE_DEL_ROUTE, 0, &body);
    // Of a route of several hops those that stay come back.
    if (fault == NULL && copy_route(&body, route, change, links) > 0)
      fault = send_route(socket, MESSAGE_NEW_ROUTE, FLAG_CREATE | FLAG_APPEND, &body);
  }
  buffer_free(&body);
  buffer_free(&now.bodies);
  return fault;
}

static char *verify(int socket, const Change *change, Slice links) {
  Routes now = {0};
  char *fault = dump(socket, change->family, &now);
  for (size_t i = 0; fault == NULL && i < change->wanted_count; i++) {
    char gateway[INET6_ADDRSTRLEN] = "";
    inet_ntop(change->family, change->wanted[i].gateway, gateway, sizeof gateway);
    if (!has_hop(&now, &change->wanted[i])) fault = join("the default route through ", gateway, " is not there afterwards", NULL);
  }
  Slice all = buffer_whole(&now.bodies), route;
  while (fault == NULL && next_route(&all, &route)) {
    Hop hop;
    for (size_t state = 0; fault == NULL && is_default(route) && next_hop(route, &state, &hop);)
      if (is_unwanted(change, &hop, links)) fault = join("a default route that had to go is still there", NULL);
  }
  buffer_free(&now.bodies);
  return fault;
}

static bool has_route(const Routes *routes, Slice wanted) {
  Slice all = buffer_whole(&routes->bodies), route;
  Buffer left = {0}, right = {0};
  bool found = false;
  copy_route(&right, wanted, NULL, (Slice){0});
  while (!found && next_route(&all, &route)) {
    copy_route(&left, route, NULL, (Slice){0});
    found = slice_equal(buffer_whole(&left), buffer_whole(&right));
  }
  buffer_free(&left);
  buffer_free(&right);
  return found;
}

/* Deletes what is new, then puts back what is gone. */
static char *restore(int socket, const Change *change) {
  Routes now = {0};
  Buffer body = {0};
  char *fault = dump(socket, change->family, &now), *first = NULL;
  const struct {
    const Routes *from, *without;
    uint16_t type, flags;
  } steps[] = {{&now, &change->before, MESSAGE_DEL_ROUTE, 0},
               {&change->before, &now, MESSAGE_NEW_ROUTE, FLAG_CREATE | FLAG_APPEND}};
  for (int step = 0; fault == NULL && step < 2; step++) {
    Slice all = buffer_whole(&steps[step].from->bodies), route;
    while (next_route(&all, &route)) {
      if (has_route(steps[step].without, route)) continue;
      copy_route(&body, route, NULL, (Slice){0});
      char *failed = send_route(socket, steps[step].type, steps[step].flags, &body);
      if (first == NULL) first = failed;
      else free(failed);
    }
  }
  buffer_free(&body);
  buffer_free(&now.bodies);
  return fault != NULL ? fault : first;
}

/* Index and name of each interface: i32, then the name with its NUL. */
static void take_index(void *context, uint16_t type, Slice body) {
  LinkHeader header;
  if (type != MESSAGE_NEW_LINK || body.size < sizeof header) return;
  memcpy(&header, body.at, sizeof header);
  Slice attributes = {body.at + sizeof header, body.size - sizeof header}, value;
  if (!find_attribute(attributes, LINK_NAME, &value) || value.size < 2 || value.at[value.size - 1] != 0) return;
  buffer_add(context, &header.index, sizeof header.index);
  buffer_slice(context, value);
}

static int32_t index_of(const char *name, Slice links) {
  while (links.size > sizeof(int32_t)) {
    int32_t index;
    Slice item;
    memcpy(&index, links.at, sizeof index);
    links.at += sizeof index;
    links.size -= sizeof index;
    if (!next_item(&links, &item)) break;
    if (slice_is(item, name)) return index;
  }
  return -1;
}

static int32_t index_of_slice(Slice name, Slice links) {
  char *text = slice_copy(name);
  int32_t index = index_of(text, links);
  free(text);
  return index;
}

static char *read_change(Slice *fields, Slice links, Change *change) {
  uint32_t family;
  Slice owner, gateways, keep, reserved, gateway;
  bool is_whole = next_number(fields, &family) && next_field(fields, &change->losers) && next_field(fields, &owner) &&
                  next_field(fields, &gateways) && next_field(fields, &change->keep_cidrs) && next_field(fields, &keep) &&
                  next_field(fields, &reserved);
  if (!is_whole || (family != 4 && family != 6)) return join("the request is malformed", NULL);
  change->family = family == 4 ? AF_INET : AF_INET6;
  change->address_size = family == 4 ? 4 : 16;
  change->owner = owner.size == 0 ? -1 : index_of_slice(owner, links);
  change->keep = keep.size == 0 ? -1 : index_of_slice(keep, links);
  if (owner.size == 0) return NULL;
  if (change->owner < 0) {
    char *name = slice_copy(owner), *fault = join("there is no interface ", name, NULL);
    free(name);
    return fault;
  }
  while (next_item(&gateways, &gateway)) {
    char *text = slice_copy(gateway), *fault = NULL;
    Hop hop = {.index = change->owner, .has_gateway = true};
    hop.metric = (uint32_t)(family == 6 ? IPV6_METRIC + change->wanted_count : change->wanted_count);
    if (change->wanted_count == MAX_GATEWAYS) fault = join("too many gateways", NULL);
    else if (inet_pton(change->family, text, hop.gateway) != 1) fault = join("gateway ", text, " is no address of its family", NULL);
    free(text);
    if (fault != NULL) return fault;
    change->wanted[change->wanted_count++] = hop;
  }
  return NULL;
}

static char *change_family(int socket, Change *change, Slice links) {
  char *fault = dump(socket, change->family, &change->before);
  if (fault != NULL) return fault;
  change->is_touched = true;
  for (size_t i = 0; fault == NULL && i < change->wanted_count; i++)
    if (!has_hop(&change->before, &change->wanted[i])) fault = put_route(socket, change, NULL, 0, &change->wanted[i]);
  if (fault == NULL) fault = keep_cluster(socket, change, links);
  if (fault == NULL) fault = remove_unwanted(socket, change, links);
  return fault == NULL ? verify(socket, change, links) : fault;
}

char *change_routes(const char *netns, Slice fields) {
  int socket = open_netlink(netns);
  if (socket < 0) return join("default route not moved: netns ", netns, ": ", strerror(errno), NULL);
  static Change changes[2];
  Buffer links = {0};
  LinkHeader request = {0};
  char *fault = ask_kernel(socket, MESSAGE_GET_LINK, FLAG_DUMP, (Slice){(uint8_t *)&request, sizeof request}, take_index, &links);
  size_t count = 0;
  memset(changes, 0, sizeof changes);
  while (fault == NULL && fields.size > 0 && count < 2) fault = read_change(&fields, buffer_whole(&links), &changes[count++]);
  for (size_t i = 0; fault == NULL && i < count; i++) fault = change_family(socket, &changes[i], buffer_whole(&links));
  char *message = NULL;
  if (fault != NULL) {
    Buffer text = {0};
    buffer_text(&text, "default route not moved: ");
    buffer_text(&text, fault);
    for (size_t i = 0; i < count; i++) {
      char *left = changes[i].is_touched ? restore(socket, &changes[i]) : NULL;
      if (left != NULL) {
        buffer_text(&text, "; not restored: ");
        buffer_text(&text, left);
      }
      free(left);
    }
    buffer_text(&text, "; the gateway must lie in a subnet of the interface that the annotation gives it to");
    buffer_string(&text);
    message = (char *)text.at;
  }
  for (size_t i = 0; i < count; i++) buffer_free(&changes[i].before.bodies);
  buffer_free(&links);
  free(fault);
  close(socket);
  return message;
}
