attach switch-a
attach switch-b
pod switch-a ip -brief link show net1
pod switch-a ip -brief address show scope global
pod switch-a ip address add 172.16.0.1/30 dev net1
pod switch-b ip address add 172.16.0.2/30 dev net1
pod switch-a ping -q -c 1 -I net1 172.16.0.2
