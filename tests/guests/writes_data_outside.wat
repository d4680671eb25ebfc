;; Has data for a place behind its memory.
(module
  (memory (export "memory") 1)
  (data (i32.const 65530) "outside it")
  (func (export "handle")))
