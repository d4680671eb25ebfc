;; Wants a table of 4,294,967,295 elements as it begins.
(module
  (memory (export "memory") 1)
  (table 4294967295 funcref)
  (func (export "handle")))
