/* See flash.h. While flash is busy nothing may run from it: the work is done by a
 * function that lies in RAM, with interrupts off. A page takes under 3 ms, a
 * sector 45 ms and at the worst 400.
 */
#include "flash.h"

#include "registers.h"

enum { BLOCK_64K = 0x10000, ERASE_64K = 0xD8 };

typedef uintptr_t (*rom_lookup)(const uint16_t *table, uint32_t code);
typedef void (*rom_plain)(void);
typedef void (*rom_erase)(uint32_t at, uint32_t size, uint32_t block, uint8_t command);
typedef void (*rom_program)(uint32_t at, const uint8_t *data, uint32_t size);

typedef struct {
    rom_plain connect;
    rom_plain leave_xip;
    rom_erase erase;
    rom_program program;
    rom_plain flush;
    rom_plain enter_xip;
} rom;

static uintptr_t find(char first, char second) {
    const volatile uint16_t *table = (const volatile uint16_t *)(uintptr_t)0x14;
    rom_lookup lookup = (rom_lookup)(uintptr_t)table[2];
    return lookup((const uint16_t *)(uintptr_t)table[0],
                  (uint32_t)first | ((uint32_t)second << 8));
}

static void look_up(rom *found) {
    found->connect = (rom_plain)find('I', 'F');
    found->leave_xip = (rom_plain)find('E', 'X');
    found->erase = (rom_erase)find('R', 'E');
    found->program = (rom_program)find('R', 'P');
    found->flush = (rom_plain)find('F', 'C');
    found->enter_xip = (rom_plain)find('C', 'X');
}

/* Erases the sector at `at`, or with `page` writes it there. */
__attribute__((section(".data.busy"), noinline)) static void busy(const rom *call, uint32_t at,
                                                                  const uint8_t *page) {
    call->connect();
    call->leave_xip();
    if (page) {
        call->program(at, page, FLASH_PAGE_SIZE);
    } else {
        call->erase(at, FLASH_SECTOR_SIZE, BLOCK_64K, ERASE_64K);
    }
    call->flush();
    call->enter_xip();
    ssi_hw->ssienr = 0;
    ssi_hw->baudr = 4; /* as boot2.S has it */
    ssi_hw->ssienr = 1;
}

static void undisturbed(uint32_t at, const uint8_t *page) {
    void (*volatile in_ram)(const rom *, uint32_t, const uint8_t *) = busy; /* far from flash */
    rom call;
    look_up(&call);
    __asm__ volatile("cpsid i" ::: "memory");
    in_ram(&call, at, page);
    __asm__ volatile("cpsie i" ::: "memory");
}

void flash_erase(uint32_t address) {
    undisturbed(address - FG_FLASH_ADDRESS, 0);
}

void flash_write(uint32_t address, const uint8_t *data, uint32_t size) {
    uint8_t page[FLASH_PAGE_SIZE]; /* writing ones changes nothing */
    uint32_t offset = address % FLASH_PAGE_SIZE;
    for (uint32_t i = 0; i < FLASH_PAGE_SIZE; i++) {
        page[i] = i >= offset && i - offset < size ? data[i - offset] : 0xFF;
    }
    undisturbed(address - offset - FG_FLASH_ADDRESS, page);
}
