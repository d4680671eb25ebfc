module portcell

go 1.24
