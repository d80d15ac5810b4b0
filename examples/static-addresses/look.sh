attach licence-server
pod licence-server ip -brief address show net1
pod licence-server ip -brief link show net1
