;; Echoes as the smallest guest does, but for a message of one byte: after that it never lets go of
;; the processor again.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "handle") (result i32)
    (local $n i32)
    (loop $more
      (local.set $n (call $read (i32.const 0) (i32.const 0) (i32.const 16384)))
      (if (i32.le_s (local.get $n) (i32.const 0))
        (then (return (i32.ne (local.get $n) (i32.const 0)))))
      (drop (call $write (i32.const 0) (i32.const 0) (local.get $n)))
      (br_if $more (i32.ne (local.get $n) (i32.const 1))))
    (loop $spin (br $spin))
    unreachable))
