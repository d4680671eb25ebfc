// A calculator in reverse Polish notation, line by line: `1 2 + 4 *` is answered with `12`.
//
// The words of a line are numbers and + - * /. What is left in the end is the answer, or it begins
// with `error:`. Each line begins with nothing.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "portcell.hpp"

namespace {

class calculator {
  public:
    // Does what a word says; gives what is wrong with it, or nothing.
    std::string take(const std::string &word) {
        char *rest;
        double number = std::strtod(word.c_str(), &rest);
        if (*rest == '\0') {
            values_.push_back(number);
            return "";
        }
        if (word.size() != 1 || word.find_first_of("+-*/") != 0)
            return "what is " + word + "?";
        if (values_.size() < 2)
            return word + " wants two numbers";
        double right = values_.back();
        values_.pop_back();
        double &left = values_.back();
        if (word == "/" && right == 0)
            return "division by zero";
        left = word == "+" ? left + right : word == "-" ? left - right : word == "*" ? left * right : left / right;
        return "";
    }

    std::string answer() const {
        std::string text;
        for (double value : values_) {
            char digits[32];
            std::snprintf(digits, sizeof digits, "%.15g", value);
            text += (text.empty() ? "" : " ") + std::string(digits);
        }
        return text;
    }

  private:
    std::vector<double> values_;
};

std::string calculate(const std::string &line) {
    calculator calculator;
    constexpr const char *spaces = " \t\r";
    std::size_t begin = line.find_first_not_of(spaces);
    while (begin != line.npos) {
        std::size_t end = std::min(line.find_first_of(spaces, begin), line.size());
        std::string wrong = calculator.take(line.substr(begin, end - begin));
        if (!wrong.empty())
            return "error: " + wrong;
        begin = line.find_first_not_of(spaces, end);
    }
    return calculator.answer();
}

} // namespace

PORTCELL_HANDLER int handle() {
    portcell::connection peer;
    std::string line;
    while (peer.getline(line, 4096)) {
        if (!peer.write(calculate(line) + "\n"))
            return 1;
    }
    return peer.failed();
}
