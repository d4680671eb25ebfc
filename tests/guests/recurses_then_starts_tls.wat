;; Reads two bytes, calls itself as many times as they say, and asks for TLS from there, with the
;; reply `go`. Then echoes a byte.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "start_tls" (func $start_tls (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "go\n")
  (func $deeper (param $left i32) (result i32)
    (if (local.get $left)
      (then
        (return
          (i32.add
            (call $deeper (i32.sub (local.get $left) (i32.const 1)))
            (i32.const 0)))))
    (if (call $start_tls (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 3))
      (then (return (i32.const 1))))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1)))
    (i32.sub (call $write (i32.const 0) (i32.const 0) (i32.const 1)) (i32.const 1)))
  (func (export "handle") (result i32)
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 2)))
    (call $deeper (i32.load16_u (i32.const 0)))))
