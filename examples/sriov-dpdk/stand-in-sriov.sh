#!/bin/sh
# Plays the SR-IOV plugin where there is no card. The virtual function is bound to vfio-pci for DPDK, so there is no
# interface in the pod: only what the plugin is told and what it answers.
conf=$(cat)
case $CNI_COMMAND in
  VERSION) printf '{"cniVersion": "1.0.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0"]}' ;;
  ADD)
    case $conf in
      *'"deviceID":"0000:'*) ;;
      *)
        printf '{"cniVersion": "1.0.0", "code": 100, "msg": "LoadConf(): VF pci addr is required"}'
        exit 1
        ;;
    esac
    printf '{"cniVersion": "1.0.0", "interfaces": [{"name": "%s", "mac": "02:00:5e:00:03:00", "sandbox": "%s"}]}' \
      "$CNI_IFNAME" "$CNI_NETNS"
    ;;
esac
