module example.com/{{name}}

go 1.24

require portcell v0.0.0

replace portcell => ./sdk
