// A matcher in C++: counts frames and says how bright the last one was. With OpenCV, a frame is
// cv::Mat(frame.height, frame.width, CV_8UC3, pixels.data()).
//
//     c++ -O2 -I client/include client/examples/matcher.cpp -o matcher
//     framegate run ... --matcher ./matcher
#include "framegate.h"

#include <iostream>
#include <numeric>
#include <vector>

int main() {
    fg_matcher matcher;
    if (fg_connect(&matcher) != 0) {
        std::cerr << matcher.error << "\n";
        return 1;
    }
    std::vector<unsigned char> pixels(matcher.frame_bytes);
    fg_frame frame;
    unsigned long count = 0;
    double mean = 0;
    while (fg_next(&matcher, &frame, pixels.data(), -1) == 1) {
        mean = std::accumulate(pixels.begin(), pixels.begin() + frame.bytes, 0.0) / frame.bytes;
        count++;
    }
    std::printf("c++: %lu frames, mean %.1f\n", count, mean);
    fg_close(&matcher);
}
