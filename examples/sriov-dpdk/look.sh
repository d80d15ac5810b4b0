attach upf-0
pod upf-0 ip -brief address
node tail -n 18 /var/lib/cni/plexus/status/default/upf-0.json
