;; Much that hurts at once, and names that would forge lines.
(module
  (@custom ".debug_info" "nobody reads this")
  (@custom ".debug_str" "zig 0.17.1\00")
  (import "env" "abort" (func (param i32 i32 i32 i32)))
  (import "env" "a\nneeds     nothing" (func))
  (memory (export "memory") 300 300)
  (global $__stack_pointer (mut i32) (i32.const 16777216))
  (func (export "_handle") (drop (memory.grow (i32.const 1))))
  (func (export "_start"))
  (func (export "b\nwarning   none") (param i32))
  (data (i32.const 16777216) "some data"))
