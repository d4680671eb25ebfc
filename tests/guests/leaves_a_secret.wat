;; Writes the first byte of each of its pages but the first, then fills them all with a secret.
(module
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (memory (export "memory") 16)
  (func (export "handle") (local $page i32)
    (local.set $page (i32.const 65536))
    (loop $again
      (drop (call $write (i32.const 0) (local.get $page) (i32.const 1)))
      (local.set $page (i32.add (local.get $page) (i32.const 65536)))
      (br_if $again (i32.lt_u (local.get $page) (i32.const 1048576))))
    (memory.fill (i32.const 0) (i32.const 0x5e) (i32.const 1048576))))
