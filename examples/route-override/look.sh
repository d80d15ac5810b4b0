attach client
pod client ip -brief address
pod client ip route
