# What a node has and a try has not: a kubelet that has allocated a device, what the device plugin says of it, and
# the SR-IOV plugin.
stand_ins=$(mktemp -d)
cp "$here/$example/stand-in-sriov.sh" "$stand_ins/sriov"
CNI_PATH="$stand_ins:${CNI_PATH:-/opt/cni/bin:/usr/lib/cni}"

device_info=/var/lib/cni/devinfo
mkdir -p "$device_info/dp"
printf '{"type": "pci", "version": "1.1.0", "pci": {"pci-address": "0000:3b:02.1", "pf-pci-address": "0000:3b:00.0"}}\n' \
  >"$device_info/dp/intel.com-sriov_dpdk-0000:3b:02.1-device.json"

program=$here/../node_modules/node/bin/node
[ -x "$program" ] || program=node
env "$program" "$here/$example/stand-in-kubelet.mjs" "$stand_ins/kubelet.sock" &
trap 'kill $!; rm -rf "$stand_ins"' EXIT
sed -i "1s|{|{\"podResourcesSocket\": \"$stand_ins/kubelet.sock\", \"devInfoDir\": \"$device_info\",|" "$conf"
