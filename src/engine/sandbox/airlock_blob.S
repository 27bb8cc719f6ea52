/* The bytes of contree-airlock, for the same reasons as init_blob.S. */
    .section .rodata
    .global contree_airlock_begin
    .global contree_airlock_end
    .balign 16
contree_airlock_begin:
    .incbin AIRLOCK_PATH
contree_airlock_end:
    .byte 0
    .section .note.GNU-stack, "", @progbits
