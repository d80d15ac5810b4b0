attach firewall
pod firewall ip -brief address
