attach proxy
pod proxy ip route
pod proxy ip -brief address
