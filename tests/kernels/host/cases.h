// Heads in memory of exactly their size, and what float64 and plain FP32 loops make of them.
#ifndef EDGETL_TESTS_CASES_H
#define EDGETL_TESTS_CASES_H

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "edgetl_head_block.h"

namespace edgetl::test {

using Random = std::mt19937;

struct Sizes {
  int batch, channels, height, width, classes;
};

struct Options {
  int feature_dtype = EDGETL_FP32;
  int weight_dtype = EDGETL_FP32;
  int layout = EDGETL_NCHW;
  int top_k = 5;
  int multiprocessors = 8;
  int offset = 0;             // elements between where the widest load is aligned and where data begin
  std::array<int, 4> gaps{};  // behind each axis, the outermost in memory first
  int weight_gap = 0;
};

inline std::uint16_t half_of(float value) {  // of values that are finite in FP16
  int exponent = 0;
  std::frexp(value, &exponent);
  const int step = std::max(exponent - 11, -24);
  const auto steps = static_cast<unsigned>(std::nearbyint(std::ldexp(std::fabs(value), -step)));
  const unsigned bits = (static_cast<unsigned>(step + 24) << 10) + steps;  // a carry moves on to the exponent
  return static_cast<std::uint16_t>((std::signbit(value) ? 0x8000U : 0U) | bits);
}

// Elements that end where their memory does; between them is NaN, or 127.
class Room {
 public:
  Room(int dtype, std::int64_t elements, int offset)
      : dtype_(dtype), start_(static_cast<std::size_t>(offset) * bytes()) {
    const std::size_t whole = start_ + static_cast<std::size_t>(elements) * bytes();
    memory_.reset(new char[whole]);
    std::memset(memory_.get(), dtype == EDGETL_INT8 ? 127 : 0xff, whole);
  }

  const void *data() const { return memory_.get() + start_; }

  void set(std::int64_t at, float value) {
    const std::uint16_t half = dtype_ == EDGETL_FP16 ? half_of(value) : std::uint16_t{0};
    const auto whole = static_cast<std::int8_t>(dtype_ == EDGETL_INT8 ? std::nearbyint(value) : 0.0F);
    const void *const from = dtype_ == EDGETL_FP32   ? static_cast<const void *>(&value)
                             : dtype_ == EDGETL_FP16 ? static_cast<const void *>(&half)
                                                     : static_cast<const void *>(&whole);
    std::memcpy(place(at), from, bytes());
  }

  float at(std::int64_t at) const {
    float value = 0;
    head::Half half{};
    std::int8_t whole = 0;
    switch (dtype_) {
      case EDGETL_FP32: std::memcpy(&value, place(at), bytes()); return value;
      case EDGETL_FP16: std::memcpy(&half, place(at), bytes()); return head::as_float(half);
      default: std::memcpy(&whole, place(at), bytes()); return whole;
    }
  }

 private:
  std::size_t bytes() const { return static_cast<std::size_t>(head::element_bytes(dtype_)); }
  char *place(std::int64_t at) const { return memory_.get() + start_ + static_cast<std::size_t>(at) * bytes(); }

  int dtype_;
  std::size_t start_;
  std::unique_ptr<char[]> memory_;
};

struct Answer {
  std::vector<std::int32_t> indices, status;
  std::vector<float> scores, probabilities;
};

class Case {
 public:
  Case(const Sizes &sizes, const Options &options, Random &random)
      : sizes_(sizes), strides_(strides_of(sizes, options)),
        features_(options.feature_dtype, reach(), options.offset),
        weights_(options.weight_dtype, std::int64_t{sizes.classes - 1} * weight_stride(options) + sizes.channels,
                 options.offset),
        bias_(static_cast<std::size_t>(sizes.classes)) {
    args_.features = features_.data();
    args_.weights = weights_.data();
    args_.bias = bias_.data();
    args_.batch_stride = strides_[0];
    args_.channel_stride = strides_[1];
    args_.row_stride = strides_[2];
    args_.column_stride = strides_[3];
    args_.weight_stride = weight_stride(options);
    args_.batch = sizes.batch;
    args_.channels = sizes.channels;
    args_.height = sizes.height;
    args_.width = sizes.width;
    args_.classes = sizes.classes;
    args_.top_k = std::min(options.top_k, sizes.classes);
    args_.feature_dtype = options.feature_dtype;
    args_.weight_dtype = options.weight_dtype;
    args_.layout = options.layout;
    args_.multiprocessors = options.multiprocessors;
    args_.feature_scale = options.feature_dtype == EDGETL_INT8 ? 9.0F / 127 : 1.0F;
    fill(random);
  }

  // With outputs and workspace, all of exactly their size and full of what no head writes.
  template <class Launch>
  edgetl_status run(Answer &answer, Launch launch) const {
    const auto images = static_cast<std::size_t>(sizes_.batch);
    const std::size_t found = images * static_cast<std::size_t>(args_.top_k);
    answer.indices.assign(found, -77);
    answer.status.assign(images, -77);
    answer.scores.assign(found, NAN);
    answer.probabilities.assign(images * static_cast<std::size_t>(sizes_.classes), NAN);
    edgetl_head_args args = args_;
    args.indices = answer.indices.data();
    args.status = answer.status.data();
    args.scores = answer.scores.data();
    args.probabilities = answer.probabilities.data();
    const edgetl_status status = head::measure(&args, &args.workspace_bytes);
    if (status != EDGETL_OK) return status;
    const std::unique_ptr<std::uint64_t[]> workspace(new std::uint64_t[(args.workspace_bytes + 7) / 8]{});
    args.workspace = workspace.get();
    return launch(args);
  }

  // Largest errors of a probability against float64: the head's, and that of plain loops.
  struct Errors {
    double head = 0, plain = 0;
  };

  Errors errors(const Answer &answer) const {
    Errors largest;
    for (int image = 0; image < sizes_.batch; ++image) {
      const std::vector<double> exact = softmax(logits<double>(image));
      const std::vector<float> plain = softmax(logits<float>(image));
      for (int number = 0; number < sizes_.classes; ++number) {
        const auto at = static_cast<std::size_t>(number);
        const double head = answer.probabilities[static_cast<std::size_t>(image) * exact.size() + at];
        largest.head = worse(largest.head, std::fabs(head - exact[at]));
        largest.plain = worse(largest.plain, std::fabs(double{plain[at]} - exact[at]));
      }
    }
    return largest;
  }

  // Whether top-k is that of the head's own probabilities.
  bool is_ranked(const Answer &answer) const {
    const auto k = static_cast<std::size_t>(args_.top_k);
    const auto classes = static_cast<std::size_t>(sizes_.classes);
    for (std::size_t image = 0; image < answer.status.size(); ++image) {
      if (answer.status[image] != EDGETL_OK) return false;
      const float *const row = answer.probabilities.data() + image * classes;
      std::vector<float> sorted(row, row + classes);
      std::partial_sort(sorted.begin(), sorted.begin() + args_.top_k, sorted.end(), std::greater<>());
      std::vector<std::int32_t> seen(answer.indices.begin() + static_cast<std::ptrdiff_t>(image * k),
                                     answer.indices.begin() + static_cast<std::ptrdiff_t>((image + 1) * k));
      for (std::size_t rank = 0; rank < k; ++rank) {
        const std::int32_t number = seen[rank];
        if (number < 0 || number >= sizes_.classes) return false;
        if (answer.scores[image * k + rank] != row[number] || row[number] != sorted[rank]) return false;
      }
      std::sort(seen.begin(), seen.end());
      if (std::adjacent_find(seen.begin(), seen.end()) != seen.end()) return false;
    }
    return true;
  }

 private:
  static double worse(double so_far, double error) { return error <= so_far ? so_far : error; }  // NaN is worst

  static std::array<std::int64_t, 4> strides_of(const Sizes &sizes, const Options &options) {
    const std::array<int, 4> shape{sizes.batch, sizes.channels, sizes.height, sizes.width};
    const std::array<std::size_t, 4> order = options.layout == EDGETL_NCHW
                                                 ? std::array<std::size_t, 4>{0, 1, 2, 3}
                                                 : std::array<std::size_t, 4>{0, 2, 3, 1};
    std::array<std::int64_t, 4> strides{};
    std::int64_t stride = 1;
    for (std::size_t axis = 4; axis-- > 0;) {
      strides[order[axis]] = stride;
      stride *= shape[order[axis]] + options.gaps[axis];
    }
    return strides;
  }

  std::int64_t weight_stride(const Options &options) const { return sizes_.channels + options.weight_gap; }

  std::int64_t place(int image, int channel, int row, int column) const {
    return image * strides_[0] + channel * strides_[1] + row * strides_[2] + column * strides_[3];
  }

  std::int64_t reach() const {
    return place(sizes_.batch - 1, sizes_.channels - 1, sizes_.height - 1, sizes_.width - 1) + 1;
  }

  // Features as after a ReLU, weights that spread the logits over a few units.
  void fill(Random &random) {
    std::normal_distribution<float> normal;
    std::uniform_real_distribution<float> level(0.1F, 3.0F);
    for (int channel = 0; channel < sizes_.channels; ++channel) {
      const float size = level(random) / args_.feature_scale;
      for (int image = 0; image < sizes_.batch; ++image) {
        for (int row = 0; row < sizes_.height; ++row) {
          for (int column = 0; column < sizes_.width; ++column) {
            const float value = std::max(normal(random), 0.0F) * size;
            const float most = args_.feature_dtype == EDGETL_INT8 ? 127.0F : INFINITY;
            features_.set(place(image, channel, row, column), std::min(value, most));
          }
        }
      }
    }
    const float spread = 2 / std::sqrt(static_cast<float>(sizes_.channels));
    for (std::int64_t number = 0; number < sizes_.classes; ++number) {
      for (int channel = 0; channel < sizes_.channels; ++channel) {
        weights_.set(number * args_.weight_stride + channel, normal(random) * spread);
      }
    }
    for (float &value : bias_) value = normal(random);
  }

  // One sum after the other, in the type of the result.
  template <class Number>
  std::vector<Number> logits(int image) const {
    const Number pixels = static_cast<Number>(sizes_.height) * static_cast<Number>(sizes_.width);
    std::vector<Number> means(static_cast<std::size_t>(sizes_.channels));
    for (int channel = 0; channel < sizes_.channels; ++channel) {
      Number sum = 0;
      for (int row = 0; row < sizes_.height; ++row) {
        for (int column = 0; column < sizes_.width; ++column) {
          sum += features_.at(place(image, channel, row, column));
        }
      }
      means[static_cast<std::size_t>(channel)] = sum * (Number{args_.feature_scale} / pixels);
    }
    std::vector<Number> sums(bias_.size());
    for (int number = 0; number < sizes_.classes; ++number) {
      Number sum = 0;
      for (int channel = 0; channel < sizes_.channels; ++channel) {
        sum += means[static_cast<std::size_t>(channel)] * weights_.at(number * args_.weight_stride + channel);
      }
      sums[static_cast<std::size_t>(number)] = sum + bias_[static_cast<std::size_t>(number)];
    }
    return sums;
  }

  template <class Number>
  static std::vector<Number> softmax(std::vector<Number> values) {
    const Number maximum = *std::max_element(values.begin(), values.end());
    Number sum = 0;
    for (Number &value : values) sum += value = std::exp(value - maximum);
    for (Number &value : values) value /= sum;
    return values;
  }

  Sizes sizes_;
  std::array<std::int64_t, 4> strides_;
  Room features_, weights_;
  std::vector<float> bias_;
  edgetl_head_args args_{};
};

}  // namespace edgetl::test

#endif
