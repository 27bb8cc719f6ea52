/* The bytes of contree-init, so that the engine is one file to install and
 * never runs an init that somebody else put on the machine. */
    .section .rodata
    .global contree_init_begin
    .global contree_init_end
    .balign 16
contree_init_begin:
    .incbin INIT_PATH
contree_init_end:
    .byte 0
    .section .note.GNU-stack, "", @progbits
