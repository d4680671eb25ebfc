;; Grows a table until it is denied, then returns 5.
(module
  (memory (export "memory") 1)
  (table $table 1 funcref)
  (func (export "handle") (result i32)
    (loop $again
      (br_if $again
        (i32.ne (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1))))
    (i32.const 5)))
