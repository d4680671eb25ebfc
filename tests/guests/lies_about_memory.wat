;; Its memory is a function.
(module
  (func (export "memory") (result i32) (i32.const 65536))
  (func (export "handle")))
