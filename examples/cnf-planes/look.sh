attach upf-0
pod upf-0 ip -brief address
pod upf-0 ip route
