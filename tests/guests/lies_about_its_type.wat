;; Its entry point wants an argument that nobody gives.
(module
  (memory (export "memory") 1)
  (func (export "handle") (param i32) (result i32) (local.get 0)))
