;; Uses descriptors that it was not given: the first 1024, those below 0 and the edges. Fails with
;; the number of the first call that is not `EBADF`.
(module
  (import "portcell_v1" "read" (func $read (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "write" (func $write (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "shutdown" (func $shutdown (param i32 i32) (result i32)))
  (import "portcell_v1" "close" (func $close (param i32) (result i32)))
  (import "portcell_v1" "set_timeout" (func $set_timeout (param i32 i32 i32) (result i32)))
  (import "portcell_v1" "start_tls" (func $start_tls (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (memory (export "memory") 1)

  (func $try (param $fd i32) (result i32)
    (if (i32.ne (call $read (local.get $fd) (i32.const 0) (i32.const 16)) (i32.const -8))
      (then (return (i32.const 1))))
    (if (i32.ne (call $write (local.get $fd) (i32.const 0) (i32.const 16)) (i32.const -8))
      (then (return (i32.const 2))))
    (if (i32.ne (call $shutdown (local.get $fd) (i32.const 3)) (i32.const -8))
      (then (return (i32.const 3))))
    (if (i32.ne (call $close (local.get $fd)) (i32.const -8)) (then (return (i32.const 4))))
    (if (i32.ne (call $set_timeout (local.get $fd) (i32.const 0) (i32.const 0)) (i32.const -8))
      (then (return (i32.const 5))))
    (if (i32.ne
          (call $start_tls
            (local.get $fd) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
          (i32.const -8))
      (then (return (i32.const 6))))
    ;; WASI's first three are its own: its errnos are not negated.
    (if (i32.lt_u (local.get $fd) (i32.const 3)) (then (return (i32.const 0))))
    (if (i32.ne
          (call $fd_read (local.get $fd) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 8))
      (then (return (i32.const 7))))
    (if (i32.ne
          (call $fd_write (local.get $fd) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 8))
      (then (return (i32.const 8))))
    (if (i32.ne (call $fd_close (local.get $fd)) (i32.const 8)) (then (return (i32.const 9))))
    (i32.const 0))

  (func (export "handle") (result i32) (local $fd i32) (local $wrong i32)
    (local.set $fd (i32.const 1))
    (loop $next
      (if (local.tee $wrong (call $try (local.get $fd))) (then (return (local.get $wrong))))
      (if (local.tee $wrong (call $try (i32.sub (i32.const 0) (local.get $fd))))
        (then (return (local.get $wrong))))
      (br_if $next
        (i32.lt_u
          (local.tee $fd (i32.add (local.get $fd) (i32.const 1)))
          (i32.const 1024))))
    (if (local.tee $wrong (call $try (i32.const 0x80000000)))
      (then (return (local.get $wrong))))
    (call $try (i32.const 0x7fffffff))))
