// A Raspberry Pi Pico in rp2040js, in its own time: runs as long as it is told, and stands still.
//
//   node rp2040.cjs LIBRARY FLASH      (LIBRARY: folder of rp2040js; FLASH: 2 MiB from 0x10000000)
//
// In, a JSON object a line: {"us": how long, "uart": hex, "bench": letters of firmware/fault_injection.h;
// f, g: the IMU answers, but its numbers stand still; b: it forgets how it was set up}.
// Out: {"us": time since power, "uart": hex, "line": [[us, level]], "resets": [why]}.
// The boot ROM is not part of it: its part in starting the second stage, and the six functions
// that erase and write flash, are played here.
"use strict";

const fs = require("fs");
const [library, flashFile] = process.argv.slice(2);
const { RP2040 } = require(library);

const CYCLE_NS = 8; // 125 MHz
const BYTE_NS = 86806; // at 115200 baud
const LINE = 16, DOCK = 14, TAMPER = 15;
const BOOT2_AT = 0x20041f00, LOOP_AT = 0x20041e00;
const ROM_CODES = ["IF", "EX", "RE", "RP", "FC", "CX"];
const LOOKUP = 0x100, FUNCTIONS = 0x200;
const IMU = 0x6a, IMU_CTRL1 = 0x10, DOCK_CHIP = 0x50;
const IMU_RATES_HZ = { 4: 104, 5: 208, 6: 416, 7: 833 };
const dockId = Buffer.from("D-0017\0\0\0\0\0\0");

const flash = fs.readFileSync(flashFile);
const bench = { undocked: false, tampered: false, moving: false, silent: false, frozen: false };
const imu = { rate: 0, index: 0, news: false, axes: [0, 0, 0, 0, 0, 0] };
let chip, memory, restartFor = null;
let toBoard = [], heard = [], changes = [], resets = [];
let elapsedNs = 0, nextByteNs = 0, level = 0;

function showLine(now) {
  if (now !== level) changes.push([Math.round(elapsedNs / 1000), now]);
  level = now;
}

class Noise { // the ring oscillator: a bit that nobody can tell
  readUint32() { return Math.floor(Math.random() * 2); }
  writeUint32() {}
  writeUint32Atomic() {}
}

function playI2c(bus) {
  let target = 0, at = 0, first = true;
  bus.onStart = () => bus.completeStart();
  bus.onConnect = (address) => {
    target = address;
    first = true;
    bus.completeConnect(address === DOCK_CHIP ? !bench.undocked : address === IMU && !bench.silent);
  };
  bus.onWriteByte = (value) => {
    if (first) at = value;
    else if (target === IMU && at++ === IMU_CTRL1) imu.rate = value >> 4;
    first = false;
    bus.completeWrite(true);
  };
  bus.onReadByte = () => bus.completeRead(target === DOCK_CHIP ? dockId[at++ % 12] : imuByte(at++));
  bus.onStop = () => bus.completeStop();
}

// The IMU samples at the rate it was set to, not at all before; asked more often, it repeats itself.
function sampleImu() {
  const index = Math.floor((elapsedNs * (IMU_RATES_HZ[imu.rate] ?? 0)) / 1e9);
  if (index === imu.index || bench.frozen) return;
  imu.index = index;
  imu.news = true;
  imu.axes = [bench.moving ? 3930 : (index % 7) * 2, 0, 0, 0, 0, 4020 + (index % 3)];
}

function imuByte(register) {
  if (register === 0x0f) return 0x6c;
  sampleImu();
  if (register === 0x1e) return imu.news ? 3 : 0; // news of acceleration and of turning
  if (register === 0x2d) imu.news = false;
  const value = Buffer.alloc(2);
  value.writeInt16LE(imu.axes[(register - 0x22) >> 1] ?? 0);
  return value[(register - 0x22) & 1];
}

function sensors() {
  chip.gpio[DOCK].setInputValue(bench.undocked);
  chip.gpio[TAMPER].setInputValue(bench.tampered);
}

function powerOn() {
  chip = new RP2040();
  chip.logger = { debug() {}, info() {}, warn() {}, error() {} };
  if (memory) chip.sram.set(memory); // a reset leaves RAM as it was
  memory = chip.sram;
  chip.flash.set(flash);
  chip.peripherals[0x40060] = new Noise();
  chip.watchdog = chip.peripherals[0x40058];
  chip.watchdog.onWatchdogTrigger = () => {
    chip.watchdog.alarm.enable = false; // or it would call for ever at the same instant
    restart("watchdog");
  };
  const rom = Buffer.from(chip.bootrom.buffer);
  rom.writeUInt16LE(0, 0x14);
  rom.writeUInt16LE(LOOKUP | 1, 0x18);
  chip.uart[0].onByte = (byte) => heard.push(byte);
  chip.gpio[LINE].addListener(() => showLine(chip.gpio[LINE].value === 1 ? 1 : 0));
  playI2c(chip.i2c[0]);
  chip.sram.set(flash.subarray(0, 256), BOOT2_AT - 0x20000000);
  chip.sram.set([0xfe, 0xe7], LOOP_AT - 0x20000000); // a branch to itself
  chip.core.SP = 0x20042000;
  chip.core.PC = BOOT2_AT;
  sensors();
}

function restart(why) {
  restartFor = why;
}

function pass(ns) {
  elapsedNs += ns;
  chip.clock.tick(ns);
}

// The boot ROM's functions: a table look-up, and flash.
function rom() {
  const r = chip.core.registers;
  if (chip.core.PC === LOOKUP) {
    const code = String.fromCharCode(r[1] & 255, (r[1] >> 8) & 255);
    r[0] = (FUNCTIONS + 16 * ROM_CODES.indexOf(code)) | 1;
  } else {
    const [at, source] = [r[0], r[1]];
    switch (ROM_CODES[(chip.core.PC - FUNCTIONS) / 16]) {
      case "RE":
        chip.flash.fill(0xff, at, at + source);
        pass(45e6);
        break;
      case "RP":
        for (let i = 0; i < r[2]; i++) chip.flash[at + i] &= chip.readUint8(source + i);
        pass(7e5);
        break;
    }
    flash.set(chip.flash.subarray(0, flash.length));
  }
  chip.core.PC = chip.core.LR & ~1;
}

function step(end) {
  const { core, clock } = chip;
  if (core.PC < 0x4000 && !core.waiting) {
    rom();
  } else if (core.waiting) {
    const toByte = toBoard.length ? Math.max(nextByteNs - elapsedNs, CYCLE_NS) : Infinity;
    const next = Math.min(clock.nanosToNextAlarm || CYCLE_NS, toByte, end - elapsedNs);
    pass(next);
    if (core.interruptsUpdated && core.checkForInterrupts()) core.waiting = false;
  } else {
    pass(core.executeInstruction() * CYCLE_NS);
  }
  if (toBoard.length && elapsedNs >= nextByteNs) {
    chip.uart[0].feedByte(toBoard.shift());
    nextByteNs = elapsedNs + BYTE_NS;
  }
  if (restartFor) {
    showLine(0); // the pin floats, and the pull-down takes it low
    powerOn();
    resets.push(restartFor);
    restartFor = null;
  }
}

function play(letter) {
  const flags = { u: ["undocked", true], d: ["undocked", false], t: ["tampered", true],
    s: ["tampered", false], m: ["moving", true], r: ["moving", false], q: ["silent", true],
    p: ["silent", false], f: ["frozen", true], g: ["frozen", false] };
  sampleImu(); // what it measured so far was measured before
  if (letter in flags) bench[flags[letter][0]] = flags[letter][1];
  if (letter === "b") imu.rate = 0;
  if (letter === "z") restart("pin");
  if (letter === "w" || letter === "x") {
    chip.core.PC = LOOP_AT;
    chip.core.waiting = false;
    if (letter === "x") chip.core.PM = true;
  }
  sensors();
}

require("readline").createInterface({ input: process.stdin }).on("line", (text) => {
  const request = JSON.parse(text);
  if (!toBoard.length) nextByteNs = elapsedNs + BYTE_NS;
  toBoard.push(...Buffer.from(request.uart ?? "", "hex"));
  for (const letter of request.bench ?? "") play(letter);
  const end = elapsedNs + request.us * 1000;
  while (elapsedNs < end) step(end);
  const us = Math.round(elapsedNs / 1000);
  const answer = { us, uart: Buffer.from(heard).toString("hex"), line: changes, resets };
  [heard, changes, resets] = [[], [], []];
  fs.writeSync(1, JSON.stringify(answer) + "\n");
}).on("close", () => process.exit(0));

powerOn();
