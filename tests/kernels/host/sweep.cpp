// Heads of many shapes on the CPU's machine, for a sanitizer to watch: one line each, an error where float64 differs.
//
//   sweep random FIRST COUNT    seeds FIRST ... FIRST + COUNT - 1, a small head of any kind each
//   sweep awkward               the shapes that kernels get wrong, in every type and layout
//   sweep races [BARRIER]       what every barrier is for, for ThreadSanitizer; without the barrier of that number
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cases.h"
#include "fibre_block.h"

namespace {

using namespace edgetl::test;

constexpr double kFloor = 4 * 0x1p-23;  // of a probability's error, which plain loops may not have by luck
constexpr int kDtypes[] = {EDGETL_FP32, EDGETL_FP16, EDGETL_INT8};
constexpr int kWeightDtypes[] = {EDGETL_FP32, EDGETL_FP16};
constexpr int kLayouts[] = {EDGETL_NCHW, EDGETL_NHWC};

template <class Value, std::size_t kCount>
Value one_of(Random &random, const Value (&values)[kCount]) {
  return values[random() % kCount];
}

int between(Random &random, int least, int most) {
  return least + static_cast<int>(random() % static_cast<unsigned>(most - least + 1));
}

bool is_right(const Sizes &sizes, const Options &options, unsigned seed) {
  Random random(seed);
  const Case head(sizes, options, random);
  Answer answer;
  const edgetl_status status =
      head.run(answer, [&](const edgetl_head_args &args) { return launch(&args, seed % 10, -1); });
  if (status != EDGETL_OK) {
    std::printf("refused: %s\n", edgetl::describe(status));
    return false;
  }
  const Case::Errors errors = head.errors(answer);
  const bool is_near = errors.head <= 2 * errors.plain + kFloor;
  const bool is_ranked = head.is_ranked(answer);
  std::printf("%d x %d x %d x %d -> %d, %d of them, dtypes %d %d, layout %d, offset %d: %.3g %.3g%s%s\n",
              sizes.batch, sizes.channels, sizes.height, sizes.width, sizes.classes, options.top_k,
              options.feature_dtype, options.weight_dtype, options.layout, options.offset, errors.head,
              errors.plain, is_near ? "" : " WRONG", is_ranked ? "" : " NOT RANKED");
  return is_near && is_ranked;
}

bool is_random_right(unsigned seed) {
  Random random(seed);
  constexpr int kBatches[] = {1, 1, 1, 2, 3, 4, 5, 8, 9, 19};
  constexpr int kGaps[] = {0, 0, 0, 1, 4, 8};
  constexpr int kOffsets[] = {0, 0, 1, 4};
  constexpr int kProcessors[] = {1, 8, 132};
  Sizes sizes{};
  sizes.batch = one_of(random, kBatches);
  sizes.channels = between(random, 1, random() % 16 == 0 ? 2100 : 140);
  sizes.height = between(random, 1, sizes.channels > 140 ? 2 : 9);
  sizes.width = between(random, 1, sizes.channels > 140 ? 2 : 9);
  sizes.classes = between(random, 1, random() % 4 == 0 ? 400 : 90);
  Options options;
  options.feature_dtype = one_of(random, kDtypes);
  options.weight_dtype = one_of(random, kWeightDtypes);
  options.layout = one_of(random, kLayouts);
  options.top_k = between(random, 1, std::min(sizes.classes, 32));
  options.multiprocessors = one_of(random, kProcessors);
  options.offset = one_of(random, kOffsets);
  switch (random() % 4) {
    case 0:
      for (int &gap : options.gaps) gap = one_of(random, kGaps);
      break;
    case 1:  // each image is dense, and begins where a wide load may
      options.gaps[1] = (sizes.channels + 3) / 4 * 4 - sizes.channels;
      break;
    default:;  // dense, as feature maps mostly are
  }
  options.weight_gap = one_of(random, kGaps);
  return is_right(sizes, options, seed);
}

bool are_awkward_right() {
  constexpr Sizes kShapes[] = {
      {1, 111, 7, 7, 999},  {5, 96, 7, 7, 100},  {1, 2048, 7, 7, 1000}, {2, 2051, 3, 2, 33}, {64, 40, 2, 2, 20},
      {19, 64, 5, 3, 300},  {1, 24, 2, 2, 21841}, {3, 8, 112, 96, 10},   {1, 1, 1, 1, 1},
  };
  bool are_right = true;
  unsigned seed = 0;
  for (const Sizes &sizes : kShapes) {
    for (const int layout : kLayouts) {
      for (const int dtype : kDtypes) {
        Options options;
        options.feature_dtype = dtype;
        options.layout = layout;
        options.weight_dtype = kWeightDtypes[seed % 2];
        options.offset = static_cast<int>(seed / 2 % 2);
        options.top_k = std::min(sizes.classes, seed % 3 == 0 ? 32 : 5);
        are_right = is_right(sizes, options, ++seed) && are_right;
      }
    }
  }
  return are_right;
}

// Two chunks of channels, several slices, tiles of one image and of more: every barrier has something to hold back.
bool run_without(int barrier) {
  bool are_done = true;
  for (const int layout : kLayouts) {
    Random random(7);
    Options options;
    options.layout = layout;
    options.multiprocessors = 4;
    const Case head(Sizes{layout == EDGETL_NCHW ? 1 : 5, 2100, 2, 2, 300}, options, random);
    Answer answer;
    const edgetl_status status =
        head.run(answer, [&](const edgetl_head_args &args) { return launch(&args, 0, barrier); });
    are_done = status == EDGETL_OK && are_done;
  }
  return are_done;
}

}  // namespace

int main(int count, char **words) {
  const std::string what = count > 1 ? words[1] : "";
  const auto number = [&](int at) { return static_cast<unsigned>(std::strtoul(words[at], nullptr, 10)); };
  bool are_right = true;
  if (what == "random" && count == 4) {
    for (unsigned seed = number(2); seed < number(2) + number(3); ++seed) {
      are_right = is_random_right(seed) && are_right;
    }
  } else if (what == "awkward" && count == 2) {
    are_right = are_awkward_right();
  } else if (what == "races" && count <= 3) {
    are_right = run_without(count == 3 ? static_cast<int>(number(2)) : -1);
  } else {
    std::fprintf(stderr, "usage: sweep random FIRST COUNT | awkward | races [BARRIER]\n");
    return 2;
  }
  return are_right ? 0 : 1;
}
