// Frames of many sizes on the CPU's machine, for a sanitizer to watch: one line each. What the bytes must be is
// test_preprocess.py's; here they must be the same in another order of threads, whatever was there before.
//
//   sweep_preprocess random FIRST COUNT    seeds FIRST ... FIRST + COUNT - 1, any small frame each
//   sweep_preprocess races [BARRIER]       what both barriers are for, for ThreadSanitizer; without that of this number
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tile_block.h"

namespace {

using edgetl::test::launch;
using Random = std::mt19937;
using Bytes = std::unique_ptr<std::uint8_t[]>;

int between(Random &random, int least, int most) {
  return least + static_cast<int>(random() % static_cast<unsigned>(most - least + 1));
}

// Rows that begin at an offset from where a wide load may, and end where their memory does.
class Plane {
 public:
  Plane(Random &random, int rows, int row_bytes) : offset_(between(random, 0, 4)), pitch_(row_bytes) {
    constexpr int kGaps[] = {0, 0, 1, 2, 4, 7};
    pitch_ += kGaps[random() % 6];
    const auto size = static_cast<std::size_t>(offset_ + (rows - 1) * pitch_ + row_bytes);
    memory_.reset(new std::uint8_t[size]);
    for (std::size_t at = 0; at < size; ++at) memory_[at] = static_cast<std::uint8_t>(random());
  }

  const std::uint8_t *data() const { return memory_.get() + offset_; }
  int pitch() const { return pitch_; }

 private:
  int offset_;
  int pitch_;
  Bytes memory_;
};

struct Case {
  edgetl_preprocess_args args{};
  std::unique_ptr<Plane> pixels, chroma;

  Case(Random &random, int height, int width, int format) {
    const bool has_chroma = format == EDGETL_NV12;
    args.height = has_chroma ? 2 * height : height;
    args.width = has_chroma ? 2 * width : width;
    pixels = std::make_unique<Plane>(random, args.height, args.width * (has_chroma ? 1 : 3));
    if (has_chroma) chroma = std::make_unique<Plane>(random, height, args.width);
    args.pixels = pixels->data();
    args.pixel_pitch = pixels->pitch();
    args.chroma = has_chroma ? chroma->data() : nullptr;
    args.chroma_pitch = has_chroma ? chroma->pitch() : 0;
    args.format = format;
    args.input_format = between(random, EDGETL_BGR, EDGETL_RGB);
    args.matrix = between(random, EDGETL_BT601, EDGETL_BT709);
    args.range = between(random, EDGETL_LIMITED, EDGETL_FULL);
    args.crop_denominator = between(random, 1, 9);
    args.crop_numerator = between(random, 1, args.crop_denominator);
  }

  std::size_t input_bytes() const {
    return 3 * static_cast<std::size_t>(args.input_height) * static_cast<std::size_t>(args.input_width);
  }
};

bool is_same_in_any_order(unsigned seed) {
  Random random(seed);
  const int height = between(random, 1, 150), width = between(random, 1, 150);
  Case frame(random, height, width, between(random, EDGETL_NV12, EDGETL_RGB));
  frame.args.input_height = between(random, 1, 70);
  frame.args.input_width = between(random, 1, 70);
  Bytes inputs[2];
  bool is_done = true;
  for (unsigned order = 0; order < 2; ++order) {
    inputs[order].reset(new std::uint8_t[frame.input_bytes()]);
    std::memset(inputs[order].get(), order == 0 ? 0 : 0xff, frame.input_bytes());
    frame.args.input = inputs[order].get();
    is_done = launch(&frame.args, order == 0 ? 0 : 1 + seed % 9, -1) == EDGETL_OK && is_done;
  }
  const bool is_same = std::memcmp(inputs[0].get(), inputs[1].get(), frame.input_bytes()) == 0;
  std::printf("%d x %d of format %d, crop %d / %d -> %d x %d%s%s\n", frame.args.height, frame.args.width,
              frame.args.format, frame.args.crop_numerator, frame.args.crop_denominator, frame.args.input_height,
              frame.args.input_width, is_done ? "" : " FAILED", is_same ? "" : " NOT THE SAME");
  return is_done && is_same;
}

// Halved twice into two tiles: weights and halved pixels of one thread are another's.
bool run_without(int barrier) {
  Random random(7);
  Case frame(random, 80, 90, EDGETL_NV12);
  frame.args.crop_numerator = frame.args.crop_denominator;
  frame.args.input_height = frame.args.input_width = 40;
  const Bytes input(new std::uint8_t[frame.input_bytes()]);
  frame.args.input = input.get();
  return launch(&frame.args, 0, barrier) == EDGETL_OK;
}

}  // namespace

int main(int count, char **words) {
  const std::string what = count > 1 ? words[1] : "";
  const auto number = [&](int at) { return static_cast<unsigned>(std::strtoul(words[at], nullptr, 10)); };
  bool are_right = true;
  if (what == "random" && count == 4) {
    for (unsigned seed = number(2); seed < number(2) + number(3); ++seed) {
      are_right = is_same_in_any_order(seed) && are_right;
    }
  } else if (what == "races" && count <= 3) {
    are_right = run_without(count == 3 ? static_cast<int>(number(2)) : -1);
  } else {
    std::fprintf(stderr, "usage: sweep_preprocess random FIRST COUNT | races [BARRIER]\n");
    return 2;
  }
  return are_right ? 0 : 1;
}
