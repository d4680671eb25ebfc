;; Polls with counts, bounds, events and descriptors that make no sense. Fails with the number of
;; the first call that is answered otherwise than the contract says.
(module
  (import "portcell_v1" "poll" (func $poll (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func $invalid (param $ptr i32) (param $n i32) (param $timeout i32) (result i32)
    (i32.ne
      (call $poll (local.get $ptr) (local.get $n) (local.get $timeout))
      (i32.const -28)))

  (func (export "handle") (result i32) (local $at i32)
    ;; More records than there may be, also more than 32 bits of bytes.
    (if (call $invalid (i32.const 0) (i32.const 65) (i32.const 0)) (then (return (i32.const 1))))
    (if (call $invalid (i32.const 0) (i32.const -1) (i32.const 0)) (then (return (i32.const 2))))
    (if (call $invalid (i32.const 0) (i32.const 0x20000000) (i32.const 0))
      (then (return (i32.const 3))))
    (if (call $invalid (i32.const 0) (i32.const 0x20000001) (i32.const -1))
      (then (return (i32.const 4))))
    (if (call $invalid (i32.const 0) (i32.const 1) (i32.const -2)) (then (return (i32.const 5))))
    (if (call $invalid (i32.const 0) (i32.const 1) (i32.const 0x80000000))
      (then (return (i32.const 6))))
    ;; Every bit of `events`.
    (i32.store16 (i32.const 4) (i32.const 0xffff))
    (if (call $invalid (i32.const 0) (i32.const 1) (i32.const -1)) (then (return (i32.const 7))))
    ;; 64 descriptors that are nobody's, without a bound.
    (loop $fill
      (i32.store (local.get $at) (i32.const 0x7fffffff))
      (i32.store (i32.add (local.get $at) (i32.const 4)) (i32.const 3))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $fill (i32.lt_u (local.get $at) (i32.const 512))))
    (if (i32.ne (call $poll (i32.const 0) (i32.const 64) (i32.const -1)) (i32.const 64))
      (then (return (i32.const 8))))
    ;; The connection 64 times, at the odd address.
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 520))
    (local.set $at (i32.const 1))
    (loop $fill
      (i32.store16 offset=4 (local.get $at) (i32.const 2))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $fill (i32.lt_u (local.get $at) (i32.const 513))))
    (if (i32.ne (call $poll (i32.const 1) (i32.const 64) (i32.const -1)) (i32.const 64))
      (then (return (i32.const 9))))
    ;; WASI: none, too many, and kinds that there are not.
    (if (i32.ne
          (call $poll_oneoff (i32.const 0) (i32.const 8192) (i32.const 0) (i32.const 16384))
          (i32.const 28))
      (then (return (i32.const 10))))
    (if (i32.ne
          (call $poll_oneoff (i32.const 0) (i32.const 8192) (i32.const -1) (i32.const 16384))
          (i32.const 28))
      (then (return (i32.const 11))))
    (memory.fill (i32.const 0) (i32.const 0xff) (i32.const 3072))
    (if (call $poll_oneoff (i32.const 0) (i32.const 8192) (i32.const 64) (i32.const 16384))
      (then (return (i32.const 12))))
    (i32.sub (i32.load (i32.const 16384)) (i32.const 64))))
