// Greets the peer by its address, and then everybody whom it names, one a line.
//
// It knows nothing of portcell: a program that reads standard input and writes standard output, as
// inetd starts them.

#include <cstdlib>
#include <iostream>
#include <string>

// The text without the spaces around it.
static std::string trim(const std::string &text) {
    constexpr const char *spaces = " \t\n\v\f\r";
    std::size_t begin = text.find_first_not_of(spaces);
    return begin == text.npos ? "" : text.substr(begin, text.find_last_not_of(spaces) - begin + 1);
}

int main() {
    const char *peer = std::getenv("REMOTE_ADDR");
    std::cout << "Hello, " << (peer != nullptr ? peer : "stranger") << "! Who is there?" << std::endl;
    std::string line;
    while (std::getline(std::cin, line)) {
        std::string name = trim(line);
        std::cout << "Hello, " << (name.empty() ? "whoever you are" : name) << "!" << std::endl;
    }
    return std::cin.bad() || !std::cout;
}
