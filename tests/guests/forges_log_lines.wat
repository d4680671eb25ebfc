;; Writes lines into the host's log that look like several, of others: with newlines, with the ends
;; of what JSON begins, with bytes that are no text, and one that is too long.
(module
  (import "portcell_v1" "log" (func $log (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  ;; 0..+64
  (data (i32.const 0) "a\0a2026-01-01T00:00:00.000000Z ERROR portcell: forged\0d\0ab\00\08\7f\1b[2J")
  ;; 128..+76
  (data (i32.const 128)
    "\22},\22x\22:{\22\0a{\22level\22:\22ERROR\22,\22message\22:\22forged\22,\22exit\22:{\22kind\22:\22ok\22}}\0a")
  ;; 256..+24: not UTF-8, too long for what it is, half of a pair; then Unicode's own line ends
  (data (i32.const 256) "\ff\fe\c0\8a\ed\a0\80\f8\80 \e2\80\a8forged\e2\80\ae\c2\85")
  ;; Vectors: all three.
  (data (i32.const 512) "\00\00\00\00\40\00\00\00\80\00\00\00\4c\00\00\00\00\01\00\00\18\00\00\00")
  (func (export "handle")
    (drop (call $log (i32.const 1) (i32.const 0) (i32.const 64)))
    (drop (call $log (i32.const 1) (i32.const 128) (i32.const 76)))
    (drop (call $log (i32.const 1) (i32.const 256) (i32.const 24)))
    (drop (call $log (i32.const 1) (i32.const 0) (i32.const 131072)))
    (drop (call $fd_write (i32.const 2) (i32.const 512) (i32.const 3) (i32.const 600)))
    (drop (call $fd_write (i32.const 1) (i32.const 512) (i32.const 3) (i32.const 600)))))
