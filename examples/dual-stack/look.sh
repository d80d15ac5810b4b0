attach web
pod web ip -brief address show scope global
pod web ip -4 route
pod web ip -6 route show default
