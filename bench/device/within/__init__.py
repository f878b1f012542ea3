"""Programs of the suite's chapters; they run in the emulated device."""
