/* A matcher in C: counts frames and says how bright the last one was.
 *
 *     cc -O2 -I client/include client/examples/matcher.c -o matcher
 *     framegate run ... --matcher ./matcher
 */
#include "framegate.h"

int main(void) {
    struct fg_matcher matcher;
    struct fg_frame frame;
    unsigned long count = 0;
    double mean = 0;
    unsigned char *pixels;

    if (fg_connect(&matcher) != 0) {
        fprintf(stderr, "%s\n", matcher.error);
        return 1;
    }
    pixels = (unsigned char *)malloc(matcher.frame_bytes);
    if (pixels == NULL) return 1;
    while (fg_next(&matcher, &frame, pixels, -1) == 1) {
        double sum = 0;
        uint32_t i;
        for (i = 0; i < frame.bytes; i++) sum += pixels[i];
        mean = frame.bytes ? sum / frame.bytes : 0;
        count++;
    }
    printf("c: %lu frames, mean %.1f\n", count, mean);
    free(pixels);
    fg_close(&matcher);
    return 0;
}
