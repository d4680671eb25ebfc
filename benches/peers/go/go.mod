module portcell/benches/peers

go 1.24
