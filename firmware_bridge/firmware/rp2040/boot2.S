/* Second stage: the boot ROM copies these 256 bytes to RAM and jumps in.
 *
 * Sets the flash interface to plain 03h reads, which every SPI flash knows, and
 * starts the image behind it. The build writes the CRC of the first 252 bytes
 * into the last four, without which the boot ROM goes to USB instead.
 */
    .syntax unified
    .cpu cortex-m0plus
    .thumb
    .section .boot2, "ax"
    .global boot2
boot2:
    ldr r0, =0x18000000         /* the flash interface (SSI) */
    movs r1, #0
    str r1, [r0, #0x08]         /* off */
    movs r1, #4
    str r1, [r0, #0x14]         /* a quarter of the core clock */
    ldr r1, =0x001F0300         /* 32-bit frames, address first, then read */
    str r1, [r0]
    movs r1, #0
    str r1, [r0, #0x04]
    ldr r1, =0x03000218         /* command 03h, 8 bits; address 24 bits */
    ldr r2, =0x180000F4
    str r1, [r2]
    movs r1, #1
    str r1, [r0, #0x08]         /* on */
    ldr r0, =0x10000100         /* the image's vectors */
    ldr r1, =0xE000ED08
    str r0, [r1]
    ldr r1, [r0]
    msr msp, r1
    ldr r1, [r0, #4]
    bx r1
    .align 2
    .ltorg
    .org 252
    .word 0                     /* the build writes the CRC here */
