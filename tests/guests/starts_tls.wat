;; Takes a line, asks for TLS with the reply `go`, and echoes what comes then. Without TLS it fails
;; with the errno as its code.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "start_tls" (func $start_tls (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "go\n")
  (func (export "handle") (result i32)
    (local $n i32)
    (loop $line
      (if (i32.le_s (call $read (i32.const 0) (i32.const 16) (i32.const 1)) (i32.const 0))
        (then (return (i32.const 0))))
      (br_if $line (i32.ne (i32.load8_u (i32.const 16)) (i32.const 10))))
    (local.set $n
      (call $start_tls (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 3)))
    (if (i32.lt_s (local.get $n) (i32.const 0))
      (then (return (i32.sub (i32.const 0) (local.get $n)))))
    (loop $echo
      (local.set $n (call $read (i32.const 0) (i32.const 16) (i32.const 4096)))
      (if (i32.le_s (local.get $n) (i32.const 0)) (then (return (i32.const 0))))
      (drop (call $write (i32.const 0) (i32.const 16) (local.get $n)))
      (br $echo))
    (unreachable)))
