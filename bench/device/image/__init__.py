"""What the emulated device starts from: packages, wheels, kernel, disk and payload."""
