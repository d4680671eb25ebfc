;; Has a memory that others could write to at the same time.
(module
  (memory (export "memory") 1 2 shared)
  (func (export "handle")))
