#!/bin/sh
# Attaches an example's pods on a node made of namespaces, looks at them from inside and deletes them.
# All of it happens in a network and a mount namespace that end with this script, so the machine's own
# interfaces, firewall rules and leases stay as they are.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
example=${1:-}

if [ -z "$example" ] || ! [ -f "$here/$example/net-conf.json" ]; then
  printf 'usage: sudo examples/try.sh EXAMPLE\nexamples:\n' >&2
  for file in "$here"/*/net-conf.json; do printf '  %s\n' "$(basename "$(dirname "$file")")" >&2; done
  exit 2
fi
if [ "$(id -u)" -ne 0 ]; then
  printf 'only root can make network namespaces: sudo %s %s\n' "$0" "$example" >&2
  exit 1
fi
if [ -z "${PLEXUS_EXAMPLE_NODE:-}" ]; then
  mkdir -p /var/lib/cni /run/netns
  PLEXUS_EXAMPLE_NODE=yes exec unshare --net --mount -- "$0" "$example"
fi

# The node: a second network card, and empty folders of its own.
mount -t tmpfs tmpfs /var/lib/cni
mount -t tmpfs tmpfs /run/netns
ip link set lo up
ip link add eth1 type veth peer name eth1-peer
ip link set eth1 up
ip link set eth1-peer up
manifests=/var/lib/cni/manifests
conf=/var/lib/cni/net-conf.json
log=/var/lib/cni/plugins.log
mkdir "$manifests"
cp "$here/$example"/*.yaml "$manifests"
sed "s|/etc/plexus/manifests|$manifests|" "$here/$example/net-conf.json" >"$conf"

# What a runtime takes from the pod (hostPort, bandwidth annotations) it adds to the net-conf.
if [ -f "$here/$example/runtime-config.json" ]; then
  runtime_config=$(tr -d '\n' <"$here/$example/runtime-config.json")
  sed -i "1s|{|{\"runtimeConfig\": $runtime_config,|" "$conf"
fi

# What else the example needs of a node.
[ ! -f "$here/$example/node.sh" ] || . "$here/$example/node.sh"

# call COMMAND POD: what a runtime does; what the plugins log goes to a file.
call() {
  env CNI_COMMAND="$1" CNI_CONTAINERID="example-$2" CNI_NETNS="/run/netns/$2" CNI_IFNAME=eth0 \
    CNI_PATH="${CNI_PATH:-/opt/cni/bin:/usr/lib/cni}" \
    CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$2" \
    "$here/../bin/plexus" <"$conf" 2>>"$log"
}

attached=
# attach POD: makes its network namespace and calls ADD.
attach() {
  printf 'ADD %s\n' "$1"
  ip netns add "$1"
  ip -n "$1" link set lo up
  attached="$1 $attached"
  if ! result=$(call ADD "$1"); then
    printf '%s\n' "$result"
    exit 1
  fi
}

# pod POD COMMAND...: shows what a program prints inside the pod.
pod() {
  pod=$1
  shift
  printf '\n%s$ %s\n' "$pod" "$*"
  nsenter --net="/run/netns/$pod" -- "$@"
}

# node COMMAND...: shows what a program prints on the node.
node() {
  printf '\nnode$ %s\n' "$*"
  "$@"
}

. "$here/$example/look.sh"

printf '\n'
for pod in $attached; do
  printf 'DEL %s\n' "$pod"
  call DEL "$pod" || exit 1
  links=$(ip -n "$pod" -brief link | grep -v '^lo ' || true)
  [ -z "$links" ] || { printf 'left in pod %s:\n%s\n' "$pod" "$links"; exit 1; }
done
left=$(find /var/lib/cni -type f ! -path "$manifests/*" ! -path "$conf" ! -path "$log" \
  ! -path '*/devinfo/dp/*' \
  ! -name lock ! -name 'last_reserved_ip.*')
[ -z "$left" ] || { printf 'left:\n%s\n' "$left"; exit 1; }
printf 'left: no interface, no lease, no record\n'
