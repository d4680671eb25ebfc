;; Has a memory whose addresses have 64 bits.
(module
  (memory (export "memory") i64 1)
  (func (export "handle")))
