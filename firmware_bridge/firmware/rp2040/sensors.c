/* See sensors.h. IMU LSM6DSOX and the dock's id chip (a 24xx02) share one I2C bus.
 *
 * A chip that does not answer is a sensor that says nothing: its flag stays off,
 * and the rule objects. No wait for a byte is longer than a millisecond.
 */
#include "sensors.h"

#include "registers.h"

enum {
    IMU = 0x6A,
    IMU_WHO = 0x0F,
    IMU_IS = 0x6C,
    IMU_CTRL1 = 0x10,
    IMU_STATUS = 0x1E, /* then a reserved byte, temperature, and from 0x22 gyro and accel */
    IMU_NEWS = 0x03,   /* new data of both */
    DOCK_CHIP = 0x50,
    DOCK_US = 500000, /* between readings of the dock's id */
    DOCK_RETRY_US = 20000,
    IMU_US = 1500,       /* and of the IMU, which has news each 1.2 ms; a reading takes 0.5 ms */
    IMU_LIFE_US = 10000, /* without news it says nothing: it hangs, or was never set up */
    PATIENCE = 4000      /* turns of a waiting loop, about half a millisecond */
};

static bool imu_ready;
static bool imu_reported;     /* it answered when last asked, and had news not long ago */
static uint64_t imu_us;   /* when it was last asked */
static uint64_t news_us;  /* and when it last had news */
static int16_t motion[6]; /* of that answer: gyro, accel */
static bool dock_known;
static uint8_t dock_id[FG_DOCK_ID];
static uint64_t dock_us;

static bool i2c_wait(uint32_t mask) {
    for (uint32_t i = 0; i < PATIENCE; i++) {
        if (i2c0_hw->raw_intr_stat & I2C_RAW_TX_ABRT) { /* nobody answered */
            (void)i2c0_hw->clr_tx_abrt;
            return false;
        }
        if (i2c0_hw->status & mask) {
            return true;
        }
    }
    return false;
}

/* Write `count` bytes, then read `size`; false if the chip did not answer. */
static bool i2c(uint8_t chip, const uint8_t *out, uint32_t count, uint8_t *in, uint32_t size) {
    i2c0_hw->enable = 0;
    i2c0_hw->tar = chip;
    i2c0_hw->enable = 1;
    (void)i2c0_hw->clr_tx_abrt;
    for (uint32_t i = 0; i < count; i++) {
        bool last = i + 1 == count && size == 0;
        i2c0_hw->data_cmd = out[i] | (last ? I2C_CMD_STOP : 0U);
        if (!i2c_wait(I2C_STATUS_TFE)) { /* sent */
            return false;
        }
    }
    for (uint32_t i = 0; i < size; i++) {
        i2c0_hw->data_cmd = I2C_CMD_READ | (i == 0 ? I2C_CMD_RESTART : 0U) |
                            (i + 1 == size ? I2C_CMD_STOP : 0U);
        if (!i2c_wait(I2C_STATUS_RFNE)) { /* received */
            return false;
        }
        in[i] = (uint8_t)i2c0_hw->data_cmd;
    }
    return true;
}

static int16_t scaled(const uint8_t *from, int32_t factor) {
    int32_t raw = (int16_t)(from[0] | (from[1] << 8));
    int32_t value = raw * factor / 1024;
    return (int16_t)(value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : value);
}

static void start_imu(void) {
    static const uint8_t who = IMU_WHO;
    /* 833 Hz, 8 g; 833 Hz, 250 degrees/s; both bytes of a number from one sample */
    static const uint8_t set_up[] = {IMU_CTRL1, 0x7C, 0x70, 0x44};
    uint8_t is = 0;
    imu_ready = i2c(IMU, &who, 1, &is, 1) && is == IMU_IS &&
                i2c(IMU, set_up, sizeof set_up, &is, 0);
}

void sensors_start(void) {
    uint32_t pulled_up = PAD_INPUT | PAD_PULL_UP | PAD_SCHMITT;
    gpio_set_function(PIN_I2C_SDA, GPIO_FUNC_I2C, pulled_up);
    gpio_set_function(PIN_I2C_SCL, GPIO_FUNC_I2C, pulled_up);
    /* pulled up, so that a cut wire reads as undocked, and as tampered with */
    gpio_set_function(PIN_DOCK, GPIO_FUNC_SIO, PAD_OUTPUT_OFF | pulled_up);
    gpio_set_function(PIN_TAMPER, GPIO_FUNC_SIO, PAD_OUTPUT_OFF | pulled_up);
    gpio_set_function(PIN_LIGHT, GPIO_FUNC_NULL, PAD_OUTPUT_OFF);
    i2c0_hw->enable = 0;
    i2c0_hw->con = I2C_CON_MASTER | I2C_CON_FAST | I2C_CON_RESTART_EN | I2C_CON_SLAVE_OFF;
    i2c0_hw->fs_scl_hcnt = 125; /* 400 kHz of 125 MHz */
    i2c0_hw->fs_scl_lcnt = 187;
    i2c0_hw->fs_spklen = 4;
    adc_hw->cs = ADC_CS_EN;
    start_imu();
}

static void ask_imu(void) {
    static const uint8_t from = IMU_STATUS;
    uint8_t raw[16];
    bool reported = imu_reported;
    imu_reported = false;
    if (!imu_ready) {
        start_imu();
        return;
    }
    if (!i2c(IMU, &from, 1, raw, sizeof raw)) {
        imu_ready = false;
        return;
    }
    if ((raw[0] & IMU_NEWS) != IMU_NEWS) {
        imu_reported = reported && imu_us - news_us < IMU_LIFE_US;
        imu_ready = imu_reported; /* it may have lost its settings: it is set up anew */
        return;
    }
    imu_reported = true;
    news_us = imu_us;
    for (uint32_t i = 0; i < 3; i++) {
        motion[i] = scaled(raw + 4 + 2 * i, 782);       /* 8.75 mdps to 0.2 mrad/s */
        motion[3 + i] = scaled(raw + 10 + 2 * i, 1225); /* 0.244 mg to 2 mm/s2 */
    }
}

static void read_imu(fg_sensors *reading, uint64_t now_us) {
    if (now_us - imu_us >= IMU_US) {
        imu_us = now_us;
        ask_imu();
    }
    if (imu_reported) {
        reading->has |= FG_HAS_GYRO | FG_HAS_ACCEL;
        for (uint32_t i = 0; i < 3; i++) {
            reading->gyro[i] = motion[i];
            reading->accel[i] = motion[3 + i];
        }
    }
}

static void read_dock(fg_sensors *reading, uint64_t now_us) {
    static const uint8_t from = 0;
    reading->has |= FG_HAS_DOCK;
    if (sio_hw->gpio_in & (1U << PIN_DOCK)) {
        dock_known = false;
        return;
    }
    reading->has |= FG_DOCKED;
    if (now_us - dock_us >= (dock_known ? DOCK_US : DOCK_RETRY_US)) {
        dock_us = now_us;
        dock_known = i2c(DOCK_CHIP, &from, 1, dock_id, FG_DOCK_ID) && dock_id[0] > ' ' &&
                     dock_id[0] < 0x7F;
    }
    if (dock_known) {
        reading->has |= FG_HAS_DOCK_ID;
        for (uint32_t i = 0; i < FG_DOCK_ID; i++) {
            reading->dock_id[i] = dock_id[i];
        }
    }
}

void sensors_read(fg_sensors *reading, uint64_t now_us) {
    *reading = (fg_sensors){0};
    reading->has = FG_HAS_TAMPER | FG_HAS_LUX;
    if (sio_hw->gpio_in & (1U << PIN_TAMPER)) {
        reading->has |= FG_TAMPER_ON;
    }
    read_dock(reading, now_us);
    read_imu(reading, now_us);
    adc_hw->cs = ADC_CS_EN | ADC_CS_START_ONCE; /* one conversion of input 0: 2 us */
    for (uint32_t i = 0; i < PATIENCE && !(adc_hw->cs & ADC_CS_READY); i++) {
    }
    reading->lux = (adc_hw->result & 0xFFF) * 25; /* 0 to 1023 lux; not calibrated */
}
