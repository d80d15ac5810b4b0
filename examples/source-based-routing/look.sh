attach probe
pod probe ip -brief address
pod probe ip rule
pod probe ip route show table 100
pod probe ip route show table 101
