;; Wants 4 GiB as it begins.
(module
  (memory (export "memory") 65536)
  (func (export "handle")))
