;; Asks for facts that nobody has: no name, all bytes there are, a name as long as its memory, a
;; path. Fails with the number of the first that is answered otherwise than with `ENOENT`.
(module
  (import "portcell_v1" "info" (func $info (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "../../etc/passwd")
  (data (i32.const 32) "peer.address\00")
  (data (i32.const 64) "transport")
  (func $absent (param $name i32) (param $length i32) (result i32)
    (i32.ne
      (call $info (local.get $name) (local.get $length) (i32.const 60000) (i32.const 100))
      (i32.const -44)))
  (func (export "handle") (result i32) (local $byte i32)
    (if (call $absent (i32.const 0) (i32.const 0)) (then (return (i32.const 1))))
    (if (call $absent (i32.const 0) (i32.const 16)) (then (return (i32.const 2))))
    (if (call $absent (i32.const 32) (i32.const 13)) (then (return (i32.const 3))))
    (if (call $absent (i32.const 32) (i32.const 11)) (then (return (i32.const 4))))
    (if (call $absent (i32.const 0) (i32.const 65536)) (then (return (i32.const 5))))
    (loop $next
      (i32.store8 (i32.const 1024) (local.get $byte))
      (if (call $absent (i32.const 1024) (i32.const 1)) (then (return (i32.const 6))))
      (br_if $next
        (i32.lt_u (local.tee $byte (i32.add (local.get $byte) (i32.const 1))) (i32.const 256))))
    ;; One that there is, into no room at all: the length of the whole.
    (if (i32.ne
          (call $info (i32.const 64) (i32.const 9) (i32.const 65536) (i32.const 0)) (i32.const 3))
      (then (return (i32.const 7))))
    (i32.const 0)))
