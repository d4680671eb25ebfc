;; Traps in `_initialize`.
(module
  (memory (export "memory") 1)
  (func $first (export "_initialize") unreachable)
  (func (export "handle")))
