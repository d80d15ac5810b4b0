attach sensor
attach collector
pod sensor ip -brief address
pod sensor ip -brief link show type macvlan
pod sensor ping -q -c 1 -I net1 192.168.40.3
