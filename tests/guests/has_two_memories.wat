;; Has a second memory, which nobody would count.
(module
  (memory (export "memory") 1)
  (memory 1)
  (func (export "handle")))
