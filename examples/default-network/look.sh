attach web
pod web ip -brief address
pod web cat /proc/sys/net/core/somaxconn
node tc qdisc show
node iptables -t nat -S CNI-HOSTPORT-DNAT
