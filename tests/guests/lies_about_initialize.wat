;; Its `_initialize` gives something back.
(module
  (memory (export "memory") 1)
  (func (export "_initialize") (result i32) (i32.const 1))
  (func (export "handle")))
